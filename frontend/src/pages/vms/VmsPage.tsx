import { PageSection, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";
import { useFirstPage } from "../../api/pages";
import { sitesQuery, vmPages } from "../../api/queries";
import type { Site, Vm } from "../../api/types";
import { type BigColumn, BigTable } from "../../components/BigTable";
import { Choice, FilterBar } from "../../components/FilterBar";
import { LinkButton } from "../../components/LinkButton";
import { Empty, Loaded } from "../../components/Loaded";
import { NameSearch } from "../../components/NameSearch";
import { PageHead } from "../../components/PageHead";
import { StateText } from "../../components/State";
import { Age } from "../../components/Time";
import { tableAddress, useAddress } from "../../lib/address";
import { useSiteName } from "../../lib/siteName";
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

const FIELDS = ["site", "protection", "q"] as const;
const PROTECTIONS = { in_group: "In a group", no_group: "In no group", copy: "Copy of another VM" };

function OfSite({ sites }: { sites: Site[] }) {
  const [params, put] = useAddress();
  const chosen = sites.find((site) => site.slug === params.get("site")) ?? (sites[0] as Site);
  const protection = params.get("protection") ?? "";
  const q = params.get("q") ?? "";
  const pages = useMemo(() => vmPages(chosen.slug, { protection, q }), [chosen.slug, protection, q]);
  const interval_ms = useLive(["sites"]);
  const query = useFirstPage(pages, interval_ms);
  const counts = query.data?.counts ?? {};
  return (
    <>
      <FilterBar table="vms" fields={FIELDS} file={tableAddress(`/sites/${chosen.slug}/vms`, { protection, q })}>
        <ToggleGroup aria-label="Site">
          {sites.map((site) => (
            <ToggleGroupItem
              key={site.slug}
              text={site.name}
              buttonId={`vms-of-${site.slug}`}
              isSelected={site.slug === chosen.slug}
              onChange={() => put({ site: site.slug })}
            />
          ))}
        </ToggleGroup>
        <Choice
          label="Protection"
          all="In a group or not"
          value={protection}
          options={Object.entries(PROTECTIONS).map(([code, word]) => ({ code, word, n: counts[code] ?? 0 }))}
          onChoose={(code) => put({ protection: code })}
        />
        <NameSearch label="VM or group" given={q} onSearch={(text) => put({ q: text })} />
      </FilterBar>
      <Loaded query={query} what="The VMs">
        {(first) =>
          first.total > 0 ? (
            <BigTable
              label="VMs"
              noun="VM"
              pages={pages}
              first={first}
              isOld={query.isPlaceholderData}
              interval_ms={interval_ms}
              columns={COLUMNS}
              rowPx={ROW_PX}
              grows
            />
          ) : protection || q ? (
            <Empty title="No VM fits">Change the filter.</Empty>
          ) : (
            <Empty title={`No VM is known at ${chosen.name}`}>Discover the pair to read them.</Empty>
          )
        }
      </Loaded>
    </>
  );
}

/** Of a VM that can be protected; one that cannot says why, and is higher. */
const ROW_PX = 40;

export function Protectable({ vm }: { vm: Vm }) {
  if (vm.copy_of) return <CopyOf home={vm.copy_of} />;
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

function CopyOf({ home }: { home: NonNullable<Vm["copy_of"]> }) {
  const name = useSiteName();
  return <StateText state={{ word: `Copy of VM ${home.one_id} of ${name(home.site)}`, tone: "idle" }} />;
}

const COLUMNS: BigColumn<Vm>[] = [
  {
    title: "VM",
    rem: 12,
    cell: (vm) => (
      <>
        <Link to={`/vms/${vm.id}`}>{vm.name}</Link> <span className="dr-quiet">({vm.one_id})</span>
      </>
    ),
  },
  { title: "State", rem: 8, cell: (vm) => (vm.gone_at ? "gone" : vm.state_word) },
  { title: "Protection", rem: 20.5, cell: (vm) => <Protectable vm={vm} /> },
  { title: "Disks", rem: 4, cell: (vm) => vm.disks.length },
  {
    title: "Definition kept",
    rem: 14,
    cell: (vm) =>
      vm.definition ? (
        <>
          No. {vm.definition.number}, seen unchanged <Age at={vm.definition.seen_at} />
        </>
      ) : (
        "not yet"
      ),
  },
  { title: "Read", rem: 7, cell: (vm) => <Age at={vm.read_at} stale_after_s={600} /> },
];
