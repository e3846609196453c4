import {
  PageSection,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { runsQuery } from "../../api/queries";
import { Empty, Loaded } from "../../components/Loaded";
import { NextPage } from "../../components/NextPage";
import { PageHead } from "../../components/PageHead";
import { RunTable } from "../../components/RunTable";
import { runStateWord } from "../../lib/words";
import { useLive } from "../../live/hooks";

const STATES = ["", "running", "paused", "succeeded", "succeeded_with_exceptions", "failed", "aborted"];

export function RunsPage() {
  const [params, setParams] = useSearchParams();
  const filter = {
    state: params.get("state") ?? "",
    plan: params.get("plan") ?? "",
    cursor: params.get("cursor") ?? "",
  };
  const query = useQuery({ ...runsQuery(filter), refetchInterval: useLive(["runs"]) });
  return (
    <>
      <PageHead title="Runs">Every execution of a plan, newest first.</PageHead>
      <PageSection>
        <Toolbar>
          <ToolbarContent>
            <ToolbarItem>
              <ToggleGroup aria-label="Runs in which state">
                {STATES.map((state) => (
                  <ToggleGroupItem
                    key={state}
                    text={state === "" ? "All" : runStateWord(state).word}
                    buttonId={`state-${state}`}
                    isSelected={filter.state === state}
                    onChange={() => setParams(state === "" ? {} : { state })}
                  />
                ))}
              </ToggleGroup>
            </ToolbarItem>
          </ToolbarContent>
        </Toolbar>
        <Loaded query={query} what="The runs">
          {(page) =>
            page.items.length === 0 ? (
              <Empty title="No run here">
                {filter.state ? "There is no run in this state." : "Nothing has been moved yet."}
              </Empty>
            ) : (
              <>
                <RunTable runs={page.items} label="Runs" />
                <NextPage next={page.next} />
              </>
            )
          }
        </Loaded>
      </PageSection>
    </>
  );
}
