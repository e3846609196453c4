import { List, ListItem } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { definitionDiffQuery, versionsQuery } from "../../api/queries";
import { Raw } from "../../components/Command";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { Time } from "../../components/Time";

/** Each version of a VM's definition: when it was so, its files to keep, and what changed with it. */
export function Versions({ vmId }: { vmId: number }) {
  const query = useQuery(versionsQuery(vmId));
  return (
    <Loaded query={query} what="The versions">
      {({ items }) => (
        <List isPlain>
          {items.map((version) => (
            <ListItem key={version.number}>
              No. {version.number}, from <Time at={version.captured_at} /> to <Time at={version.seen_at} />.{" "}
              <a href={`/api/v1/vms/${vmId}/definitions/${version.number}/files/vm-template`}>
                VM template of no. {version.number}
              </a>
              {version.disks.map((disk) => (
                <span key={disk}>
                  {", "}
                  <a href={`/api/v1/vms/${vmId}/definitions/${version.number}/files/image-${disk}`}>
                    image file of disk {disk}
                  </a>
                </span>
              ))}
              {version.number > 1 && (
                <Fold head={`What changed from no. ${version.number - 1} to no. ${version.number}`}>
                  <Diff vmId={vmId} before={version.number - 1} after={version.number} />
                </Fold>
              )}
            </ListItem>
          ))}
        </List>
      )}
    </Loaded>
  );
}

function Diff({ vmId, before, after }: { vmId: number; before: number; after: number }) {
  const query = useQuery(definitionDiffQuery(vmId, before, after));
  return (
    <Loaded query={query} what="The difference">
      {(diff) => <Raw text={diff.lines.join("\n") + (diff.cut ? "\n[cut]" : "")} label="Difference" />}
    </Loaded>
  );
}
