import { Button, PageSection } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { trailQuery } from "../../api/queries";
import type { Entries } from "../../api/types";
import { Empty, Loaded } from "../../components/Loaded";
import { NextPage } from "../../components/NextPage";
import { PageHead } from "../../components/PageHead";
import { useMay } from "../../lib/may";
import { exportAddress, fieldsOf } from "../../lib/trailFilter";
import { useLive } from "../../live/hooks";
import { ChainCard } from "./ChainCard";
import { EntryTable } from "./EntryTable";
import { TrailFilters } from "./TrailFilters";

export function TrailPage() {
  const { may, whyNot } = useMay("audit");
  const whole = useMay("audit", "everywhere").may;
  const [params] = useSearchParams();
  return (
    <>
      <PageHead
        title="Trail"
        actions={
          whole && (
            <Button component="a" variant="secondary" href={exportAddress(fieldsOf(params))} download>
              Export what fits, signed
            </Button>
          )
        }
      >
        Every act before it happened and its outcome after, refused ones too. Each entry carries the hash of the one
        before it.
      </PageHead>
      <PageSection className="dr-stack">
        {may ? <Trail /> : <Empty title="You cannot read the trail">{whyNot}</Empty>}
      </PageSection>
    </>
  );
}

function Trail() {
  const [params] = useSearchParams();
  const filter = { ...fieldsOf(params), before: params.get("before") ?? "" };
  const poll = useLive(["runs"]);
  const query = useQuery({ ...trailQuery(filter), refetchInterval: filter.before ? false : poll });
  return (
    <>
      {useMay("audit", "everywhere").may ? <ChainCard /> : <p>You read what is about your sites, plans and runs.</p>}
      <TrailFilters key={params.toString()} />
      <Loaded query={query} what="The trail">
        {(page) => <Found page={page} />}
      </Loaded>
    </>
  );
}

function Found({ page }: { page: Entries }) {
  const more = page.searched_to !== null;
  return (
    <>
      {page.items.length > 0 && <EntryTable entries={page.items} />}
      {page.items.length === 0 && !more && <Empty title="No entry fits" />}
      {more && <p role="status">Looked back as far as entry {page.searched_to}. The next page looks further.</p>}
      <NextPage next={page.next} name="before" />
    </>
  );
}
