import {
  Button,
  Card,
  CardBody,
  CardTitle,
  DescriptionList,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { type Exposed, exposureQuery, type Period } from "../api/queries";
import type { ExposureOverTime, ExposurePoint } from "../api/types";
import { useAddress } from "../lib/address";
import { spanWords, worstOf } from "../lib/exposure";
import { useMay } from "../lib/may";
import { count, exposureWord, upWords } from "../lib/words";
import { useLive } from "../live/hooks";
import { Fact } from "../pages/runs/RunFacts";
import { Fold } from "./Fold";
import { Loaded } from "./Loaded";
import { RpoTargetDialog } from "./RpoTargetDialog";
import { StateText } from "./State";
import { Time } from "./Time";

const ExposureChart = lazy(() => import("./ExposureChart").then((module) => ({ default: module.ExposureChart })));

const PERIODS: { period: Period; word: string }[] = [
  { period: "day", word: "Day" },
  { period: "week", word: "Week" },
  { period: "month", word: "Month" },
];
const TABLE_ROWS = 48;

/** What would be lost now, and what would have been, against what was agreed. `targetOf`: the group whose target it is, and its plan. */
export function ExposureCard({ of, targetOf }: { of: Exposed; targetOf?: { group: number; plan: number } }) {
  const [params, put] = useAddress();
  const period = PERIODS.find((one) => one.period === params.get("period"))?.period ?? "day";
  const query = useQuery({ ...exposureQuery(of, period), refetchInterval: useLive([]) });
  return (
    <Card>
      <CardTitle component="h2">Exposure: what would be lost</CardTitle>
      <CardBody className="dr-stack">
        <ToggleGroup aria-label="Period" isCompact>
          {PERIODS.map((one) => (
            <ToggleGroupItem
              key={one.period}
              text={one.word}
              buttonId={`period-${one.period}`}
              isSelected={one.period === period}
              onChange={() => put({ period: one.period }, { replace: true })}
            />
          ))}
        </ToggleGroup>
        <Loaded query={query} what="The exposure">
          {(given) => <Shown given={given} targetOf={targetOf} />}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function Shown({ given, targetOf }: { given: ExposureOverTime; targetOf?: { group: number; plan: number } }) {
  return (
    <>
      <DescriptionList isCompact isHorizontal>
        <Fact term="Now">
          <StateText state={exposureWord(given.now, given.target_s)} />
          <p>{given.now.sentence}</p>
        </Fact>
        <Fact term="RPO target">
          <div className="dr-facts">
            {given.target_s === null ? "none agreed" : upWords(given.target_s)}
            {targetOf !== undefined && <TargetButton {...targetOf} target_s={given.target_s} />}
          </div>
        </Fact>
        {PERIODS.map(({ period, word }) => (
          <Fact key={period} term={`Worst of the ${word.toLowerCase()}`}>
            <WorstText given={given} period={period} />
          </Fact>
        ))}
      </DescriptionList>
      <Suspense fallback={<div className="dr-chart" />}>
        <ExposureChart given={given} />
      </Suspense>
      <Fold head="The curve as figures">
        <Figures points={given.points} />
      </Fold>
    </>
  );
}

function TargetButton({ group, plan, target_s }: { group: number; plan: number; target_s: number | null }) {
  const [open, setOpen] = useState(false);
  const { whyNot } = useMay("plan", { plan });
  return (
    <>
      <Button
        variant="link"
        isInline
        isAriaDisabled={whyNot !== ""}
        title={whyNot || undefined}
        onClick={() => setOpen(true)}
      >
        Change the target
      </Button>
      {open && <RpoTargetDialog group={group} target_s={target_s} onClose={() => setOpen(false)} />}
    </>
  );
}

function WorstText({ given, period }: { given: ExposureOverTime; period: Period }) {
  const worst = given.worst[period];
  if (!worst || (worst.seconds === null && worst.unbounded_slots === 0 && worst.untold_slots === 0))
    return <>nothing was measured</>;
  return (
    <>
      {worst.unbounded_slots > 0 && (
        <>
          <StateText state={{ word: `No bound in ${count(worst.unbounded_slots, "span")}`, tone: "bad" }} />
          {"; "}
        </>
      )}
      {worst.untold_slots > 0 && (
        <>
          <StateText state={{ word: `Not known in ${count(worst.untold_slots, "span")}`, tone: "unsure" }} />
          {"; "}
        </>
      )}
      {worst.seconds === null ? (
        "no figure"
      ) : (
        <>
          <StateText state={exposureWord({ kind: "measured", seconds: worst.seconds }, given.target_s)} />, in the span
          from <Time at={worst.at} />
          {worst.unbounded_slots + worst.untold_slots > 0 && ", of what could be measured"}
        </>
      )}
    </>
  );
}

/** The worst of each span, in at most some fifty rows. */
function Figures({ points }: { points: ExposurePoint[] }) {
  const width = Math.max(1, Math.ceil(points.length / TABLE_ROWS));
  const rows = [];
  for (let i = 0; i < points.length; i += width) rows.push(worstOf(points.slice(i, i + width)));
  return (
    <Table aria-label="Exposure over time" variant="compact">
      <Thead>
        <Tr>
          <Th>From</Th>
          <Th>Would have been lost</Th>
        </Tr>
      </Thead>
      <Tbody>
        {rows.map((row) => (
          <Tr key={row.at}>
            <Td dataLabel="From">
              <Time at={row.at} />
            </Td>
            <Td dataLabel="Would have been lost">{spanWords(row)}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
