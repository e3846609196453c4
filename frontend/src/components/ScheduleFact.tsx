import type { ImageSchedule, PoolSchedule } from "../api/types";
import { scheduleWords } from "../lib/words";
import { Fact } from "../pages/runs/RunFacts";
import { Age } from "./Time";

/** What takes mirror snapshots at a site, and how old that knowledge is. */
export function ScheduleFact({ schedule, none }: { schedule: ImageSchedule | PoolSchedule; none: string }) {
  return (
    <Fact term="Snapshot schedule">
      {scheduleWords(schedule, none)} (read <Age at={schedule.read_at} stale_after_s={300} />)
      {schedule.trouble && `. It can't be read now: ${schedule.trouble}`}
    </Fact>
  );
}
