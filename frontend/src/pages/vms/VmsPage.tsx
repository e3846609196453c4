import {
  PageSection,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "react-router";
import { sitesQuery, vmsQuery } from "../../api/queries";
import type { Site, Vm } from "../../api/types";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { PageHead } from "../../components/PageHead";
import { StateText } from "../../components/State";
import { Age } from "../../components/Time";
import { useLive } from "../../live/hooks";

export function VmsPage() {
  const sites = useQuery(sitesQuery);
  return (
    <>
      <PageHead title="VMs">What OpenNebula has at each site, whether it can be protected, and if not why.</PageHead>
      <PageSection>
        <Loaded query={sites} what="The sites">
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No site is set up yet" action={<LinkButton to="/sites">To the sites</LinkButton>} />
            ) : (
              <OfSite sites={items} />
            )
          }
        </Loaded>
      </PageSection>
    </>
  );
}

function OfSite({ sites }: { sites: Site[] }) {
  const [params, setParams] = useSearchParams();
  const chosen = sites.find((site) => site.slug === params.get("site")) ?? (sites[0] as Site);
  const query = useQuery({ ...vmsQuery(chosen.slug), refetchInterval: useLive(["sites"]) });
  return (
    <>
      <Toolbar>
        <ToolbarContent>
          <ToolbarItem>
            <ToggleGroup aria-label="Site">
              {sites.map((site) => (
                <ToggleGroupItem
                  key={site.slug}
                  text={site.name}
                  buttonId={`vms-of-${site.slug}`}
                  isSelected={site.slug === chosen.slug}
                  onChange={() => setParams({ site: site.slug })}
                />
              ))}
            </ToggleGroup>
          </ToolbarItem>
        </ToolbarContent>
      </Toolbar>
      <Loaded query={query} what="The VMs">
        {({ items }) =>
          items.length === 0 ? (
            <Empty title={`No VM is known at ${chosen.name}`}>Discover the pair to read them.</Empty>
          ) : (
            <VmTable vms={items} />
          )
        }
      </Loaded>
    </>
  );
}

export function Protectable({ vm }: { vm: Vm }) {
  if (vm.copy_of) {
    return <StateText state={{ word: `Copy of VM ${vm.copy_of.one_id} of ${vm.copy_of.site}`, tone: "idle" }} />;
  }
  const inGroup = vm.group && `In group ${vm.group.name}`;
  if (inGroup && vm.protectable) return <StateText state={{ word: inGroup, tone: "good" }} />;
  if (vm.protectable) return <StateText state={{ word: "Can be protected", tone: "warn" }} />;
  return (
    <>
      <StateText state={{ word: inGroup ? `${inGroup}, but not protected` : "Cannot be protected", tone: "bad" }} />
      <ul>
        {vm.why_not.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </>
  );
}

function VmTable({ vms }: { vms: Vm[] }) {
  return (
    <Table aria-label="VMs" variant="compact">
      <Thead>
        <Tr>
          <Th>VM</Th>
          <Th>State</Th>
          <Th>Protection</Th>
          <Th>Disks</Th>
          <Th>Definition kept</Th>
          <Th>Read</Th>
        </Tr>
      </Thead>
      <Tbody>
        {vms.map((vm) => (
          <Tr key={vm.id}>
            <Td dataLabel="VM">
              <Link to={`/vms/${vm.id}`}>{vm.name}</Link> <span className="dr-quiet">({vm.one_id})</span>
            </Td>
            <Td dataLabel="State">{vm.gone_at ? "gone" : vm.state_word}</Td>
            <Td dataLabel="Protection">
              <Protectable vm={vm} />
            </Td>
            <Td dataLabel="Disks">{vm.disks.length}</Td>
            <Td dataLabel="Definition kept">
              {vm.definition ? (
                <>
                  No. {vm.definition.number}, seen unchanged <Age at={vm.definition.seen_at} />
                </>
              ) : (
                "not yet"
              )}
            </Td>
            <Td dataLabel="Read">
              <Age at={vm.read_at} stale_after_s={600} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
