import type { Made } from "../api/types";
import { Fact } from "../pages/runs/RunFacts";
import { TimeTwice } from "./Time";

/** When and by whom a report was made, and the trail's head at that moment: what it can be held against. */
export function MadeFacts({ made }: { made: Made }) {
  return (
    <>
      <Fact term="Made">
        <TimeTwice at={made.at} /> by {made.by}, with DR Portal {made.portal}
      </Fact>
      <Fact term="The trail then">
        Its newest entry was {made.head_seq}, with the hash <span className="dr-mono">{made.head_hash}</span>. This page
        is a print and proves nothing by itself: the trail’s signed export does, if that entry is in it.
      </Fact>
    </>
  );
}
