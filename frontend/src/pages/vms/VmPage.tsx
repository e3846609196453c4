import { Card, CardBody, CardTitle, DescriptionList, PageSection, Title } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { definitionQuery, vmQuery } from "../../api/queries";
import type { Vm } from "../../api/types";
import { ChangesCard } from "../../components/ChangesCard";
import { CopyButton, Raw } from "../../components/Command";
import { Fold } from "../../components/Fold";
import { Loaded } from "../../components/Loaded";
import { LoadedPage } from "../../components/LoadedPage";
import { PageHead } from "../../components/PageHead";
import { VerdictText } from "../../components/State";
import { Age, Time } from "../../components/Time";
import { useSiteName } from "../../lib/siteName";
import { sizeWords } from "../../lib/words";
import { useLive } from "../../live/hooks";
import { Fact } from "../runs/RunFacts";
import { Versions } from "./Versions";
import { Protectable } from "./VmsPage";

export function VmPage() {
  const id = Number(useParams().id);
  const name = useSiteName();
  const query = useQuery({ ...vmQuery(id), refetchInterval: useLive(["sites"]) });
  return (
    <LoadedPage query={query} what={`VM ${id}`} crumbs={[{ to: "/vms", text: "VMs" }]}>
      {(vm) => (
        <>
          <PageHead title={vm.name} crumbs={[{ to: `/vms?site=${vm.site}`, text: `VMs of ${name(vm.site)}` }]} />
          <PageSection className="dr-stack">
            <Facts vm={vm} />
            <Disks vm={vm} />
            {vm.definition ? <Definition vmId={vm.id} /> : null}
            <ChangesCard of={{ site: vm.site, kind: "vm", subject: String(vm.one_id) }} what="this VM" />
          </PageSection>
        </>
      )}
    </LoadedPage>
  );
}

function Facts({ vm }: { vm: Vm }) {
  return (
    <Card>
      <CardTitle component="h2">VM {vm.one_id}</CardTitle>
      <CardBody>
        <DescriptionList isCompact columnModifier={{ default: "2Col" }}>
          <Fact term="Protection">
            <Protectable vm={vm} />
          </Fact>
          <Fact term="State">
            {vm.gone_at ? "gone" : vm.state_word}, read <Age at={vm.read_at} stale_after_s={600} />
          </Fact>
          <Fact term="Host">{vm.host || "none"}</Fact>
          <Fact term="CPU, memory">
            {vm.cpu ?? "?"} CPU, {vm.memory_mb ?? "?"} MB
          </Fact>
          <Fact term="Network cards">
            {vm.nics.length === 0
              ? "none"
              : vm.nics.map((nic) => (
                  <div key={JSON.stringify(nic)}>
                    {String(nic.network ?? "network")}{" "}
                    <span className="dr-mono">{[nic.ip, nic.mac].filter(Boolean).join(", ")}</span>
                  </div>
                ))}
          </Fact>
        </DescriptionList>
      </CardBody>
    </Card>
  );
}

function Disks({ vm }: { vm: Vm }) {
  return (
    <Card>
      <CardTitle component="h2">Disks</CardTitle>
      <CardBody>
        <Table aria-label="Disks" variant="compact">
          <Thead>
            <Tr>
              <Th>Disk</Th>
              <Th>Source</Th>
              <Th>Kind</Th>
              <Th>Device</Th>
              <Th>Size</Th>
              <Th>Verdict</Th>
            </Tr>
          </Thead>
          <Tbody>
            {vm.disks.map((disk) => (
              <Tr key={disk.disk_id}>
                <Td dataLabel="Disk">{disk.disk_id}</Td>
                <Td dataLabel="Source">
                  {disk.image_id === null ? (
                    disk.source
                  ) : (
                    <Link to={`/images?image=${disk.image_id}`}>{disk.source}</Link>
                  )}
                </Td>
                <Td dataLabel="Kind">{disk.kind}</Td>
                <Td dataLabel="Device">{disk.target}</Td>
                <Td dataLabel="Size">{sizeWords(disk.size_bytes)}</Td>
                <Td dataLabel="Verdict">
                  {disk.image_id === null ? "not mirrored" : <VerdictText code={disk.verdict} />}
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      </CardBody>
    </Card>
  );
}

function Definition({ vmId }: { vmId: number }) {
  const query = useQuery(definitionQuery(vmId));
  return (
    <Card>
      <CardTitle component="h2">Definition kept for the other site</CardTitle>
      <CardBody>
        <Loaded query={query} what="The definition">
          {(kept) => (
            <div className="dr-stack">
              <p>
                No. {kept.number}, captured <Time at={kept.captured_at} />, SHA-256{" "}
                <span className="dr-mono">{kept.sha256}</span>
              </p>
              <Title headingLevel="h3">What is created at the other site</Title>
              <p>Ready to copy: with these files the VM can be made by hand, without the portal.</p>
              {kept.target_files.image_files.map((file) => (
                <TargetFile key={file.disk_id} title={`Image of disk ${file.disk_id}`} text={file.text} />
              ))}
              {kept.target_files.vm_template === null ? (
                <p>The VM template cannot be built yet: {kept.target_files.why_not}</p>
              ) : (
                <TargetFile title="VM template" text={kept.target_files.vm_template} />
              )}
              <Fold head="Its versions, and what changed">
                <Versions vmId={vmId} />
              </Fold>
              <Fold head="The VM as OpenNebula described it (XML)">
                <Raw text={kept.vm_xml} label="XML" />
              </Fold>
            </div>
          )}
        </Loaded>
      </CardBody>
    </Card>
  );
}

function TargetFile({ title, text }: { title: string; text: string }) {
  return (
    <div>
      <strong>{title}</strong> <CopyButton text={text} label={`Copy: ${title}`} />
      <Raw text={text} label={title} />
    </div>
  );
}
