import type { Vm } from "../../api/types";
import { VerdictText } from "../../components/State";

/** What a VM runs on, each disk with how its mirroring stands. */
export function Disks({ vm }: { vm: Vm }) {
  return vm.disks.map((disk) => (
    <div key={disk.disk_id}>
      {disk.source} {disk.image_id === null ? "not mirrored" : <VerdictText code={disk.verdict} />}
    </div>
  ));
}
