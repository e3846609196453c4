import { Alert, PageSection } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";
import { useFirstPage } from "../../api/pages";
import { gapPages, pairsQuery } from "../../api/queries";
import type { Gap, Pair } from "../../api/types";
import { type BigColumn, BigTable } from "../../components/BigTable";
import { Command } from "../../components/Command";
import { Choice, FilterBar, PairChoice } from "../../components/FilterBar";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { NameSearch } from "../../components/NameSearch";
import { PageHead } from "../../components/PageHead";
import { StateText } from "../../components/State";
import { Age } from "../../components/Time";
import { tableAddress, useAddress } from "../../lib/address";
import { GAP_LEVEL_CODES, gapLevelWord } from "../../lib/words";
import { useLive } from "../../live/hooks";

export function GapsPage() {
  const query = useQuery(pairsQuery);
  return (
    <>
      <PageHead title="Protection gaps">
        What keeps images, VMs, pools and sites from being protected, each with a remedy. Commands are for you to copy:
        the portal does not send them.
      </PageHead>
      <PageSection>
        <Loaded query={query} what="The pairs">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No pair of sites yet" action={<LinkButton to="/sites">To the sites</LinkButton>} />
            ) : (
              <OfPair pairs={items} />
            )
          }
        </Loaded>
      </PageSection>
    </>
  );
}

const FIELDS = ["pair", "level", "code", "q"] as const;

function OfPair({ pairs }: { pairs: Pair[] }) {
  const [params, put] = useAddress();
  const pair = pairs.find((each) => String(each.id) === params.get("pair")) ?? (pairs[0] as Pair);
  const [level, code, q] = [params.get("level") ?? "", params.get("code") ?? "", params.get("q") ?? ""];
  const pages = useMemo(() => gapPages(pair.id, { level, code, q }), [pair.id, level, code, q]);
  const interval_ms = useLive([`pair:${pair.id}`]);
  const query = useFirstPage(pages, interval_ms);
  const counts = query.data?.counts ?? {};
  const codes = Object.entries(query.data?.codes ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return (
    <>
      <FilterBar table="gaps" fields={FIELDS} file={tableAddress(`/pairs/${pair.id}/gaps`, { level, code, q })}>
        <PairChoice pairs={pairs} pair={pair} onChoose={(id) => put({ pair: id })} />
        <Choice
          label="Level"
          all="Every level"
          value={level}
          options={GAP_LEVEL_CODES.map((one) => ({ code: one, word: gapLevelWord(one).word, n: counts[one] ?? 0 }))}
          onChoose={(one) => put({ level: one })}
        />
        <Choice
          label="Kind of gap"
          all="Every kind"
          value={code}
          options={codes.map(([one, n]) => ({ code: one, word: one.replaceAll("_", " "), n }))}
          onChoose={(one) => put({ code: one })}
        />
        <NameSearch label="Name or text" given={q} onSearch={(text) => put({ q: text })} />
      </FilterBar>
      <Loaded query={query} what="The gaps">
        {(first) => (
          <div className="dr-stack">
            {!first.watched && (
              <Alert
                variant="warning"
                isInline
                component="h2"
                title="Nobody watches the sites: these gaps are old news"
              >
                The poller last looked <Age at={first.polled_at} />. What has come or gone since is not in here.
              </Alert>
            )}
            {first.total === 0 ? (
              <Empty title="No gap is known">{first.watched ? "As far as the filter reaches." : null}</Empty>
            ) : (
              <BigTable
                label="Protection gaps"
                noun="gap"
                pages={pages}
                first={first}
                isOld={query.isPlaceholderData}
                interval_ms={interval_ms}
                columns={COLUMNS}
                rowPx={ROW_PX}
                grows
              />
            )}
          </div>
        )}
      </Loaded>
    </>
  );
}

/** A sentence, a remedy and a command; most are some such height. */
const ROW_PX = 96;

/** What a remedy's page is called in the navigation. */
function pageWord(path: string): string {
  const [, noun = "", id, act] = path.split("/");
  if (act === "edit") return "the plan's networks and VMs";
  return id ? `the ${noun.replace(/s$/, "")}'s page` : `the page of ${noun}`;
}

const COLUMNS: BigColumn<Gap>[] = [
  { title: "What", rem: 12.5, cell: (gap) => gap.subject },
  { title: "Level", rem: 8, cell: (gap) => <StateText state={gapLevelWord(gap.level)} /> },
  {
    title: "Gap and remedy",
    rem: 44.5,
    cell: (gap) => (
      <>
        <p>{gap.sentence}</p>
        <p className="dr-quiet">
          {gap.remedy} {gap.path && <Link to={gap.path}>Go to {pageWord(gap.path)}</Link>}
        </p>
        {gap.commands.map((command) => (
          <div key={`${command.site} ${command.text}`}>
            <p className="dr-quiet">
              At {command.site || "either site"}, on {command.host}. {command.does}
            </p>
            <Command text={command.text} />
          </div>
        ))}
      </>
    ),
  },
];
