import {
  Alert,
  FormSelect,
  FormSelectOption,
  PageSection,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "react-router";
import { gapsQuery, pairsQuery } from "../../api/queries";
import type { Gaps, Pair } from "../../api/types";
import { Command } from "../../components/Command";
import { Empty, Loaded } from "../../components/Loaded";
import { NameSearch } from "../../components/NameSearch";
import { PageHead } from "../../components/PageHead";
import { StateText } from "../../components/State";
import { Age } from "../../components/Time";
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
          {({ items }) => (items.length === 0 ? <Empty title="No pair of sites yet" /> : <OfPair pairs={items} />)}
        </Loaded>
      </PageSection>
    </>
  );
}

function OfPair({ pairs }: { pairs: Pair[] }) {
  const [params, setParams] = useSearchParams();
  const pair = pairs.find((each) => String(each.id) === params.get("pair")) ?? (pairs[0] as Pair);
  const filter = { level: params.get("level") ?? "", code: params.get("code") ?? "", q: params.get("q") ?? "" };
  const query = useQuery({ ...gapsQuery(pair.id, filter), refetchInterval: useLive([`pair:${pair.id}`]) });
  const put = (name: string, value: string) =>
    setParams((was) => {
      const now = new URLSearchParams(was);
      if (value) now.set(name, value);
      else now.delete(name);
      return now;
    });
  const codes = Object.entries(query.data?.codes ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return (
    <>
      <Toolbar>
        <ToolbarContent>
          {pairs.length > 1 && (
            <ToolbarItem>
              <FormSelect
                aria-label="Pair of sites"
                value={pair.id}
                onChange={(_event, value) => put("pair", String(value))}
              >
                {pairs.map((each) => (
                  <FormSelectOption key={each.id} value={each.id} label={`${each.a} and ${each.b}`} />
                ))}
              </FormSelect>
            </ToolbarItem>
          )}
          <ToolbarItem>
            <FormSelect aria-label="Level" value={filter.level} onChange={(_event, value) => put("level", value)}>
              <FormSelectOption value="" label="Every level" />
              {GAP_LEVEL_CODES.map((code) => (
                <FormSelectOption
                  key={code}
                  value={code}
                  label={`${gapLevelWord(code).word} (${query.data?.counts[code] ?? 0})`}
                />
              ))}
            </FormSelect>
          </ToolbarItem>
          <ToolbarItem>
            <FormSelect aria-label="Kind of gap" value={filter.code} onChange={(_event, value) => put("code", value)}>
              <FormSelectOption value="" label="Every kind" />
              {codes.map(([code, n]) => (
                <FormSelectOption key={code} value={code} label={`${code.replaceAll("_", " ")} (${n})`} />
              ))}
            </FormSelect>
          </ToolbarItem>
          <ToolbarItem>
            <NameSearch label="Name or text" given={filter.q} onSearch={(q) => put("q", q)} />
          </ToolbarItem>
        </ToolbarContent>
      </Toolbar>
      <Loaded query={query} what="The gaps">
        {(found) => <GapTable found={found} />}
      </Loaded>
    </>
  );
}

function GapTable({ found }: { found: Gaps }) {
  return (
    <div className="dr-stack">
      {!found.watched && (
        <Alert variant="warning" isInline component="h2" title="Nobody watches the sites: these gaps are old news">
          The poller last looked <Age at={found.polled_at} />. What has come or gone since is not in here.
        </Alert>
      )}
      {found.items.length === 0 ? (
        <Empty title="No gap is known">{found.watched ? "As far as the filter reaches." : null}</Empty>
      ) : (
        <Table aria-label="Protection gaps" variant="compact">
          <Thead>
            <Tr>
              <Th width={10}>Level</Th>
              <Th width={20}>What</Th>
              <Th>Gap and remedy</Th>
            </Tr>
          </Thead>
          <Tbody>
            {found.items.map((gap) => (
              <Tr key={`${gap.code} ${gap.subject} ${gap.sentence}`}>
                <Td dataLabel="Level">
                  <StateText state={gapLevelWord(gap.level)} />
                </Td>
                <Td dataLabel="What">{gap.subject}</Td>
                <Td dataLabel="Gap and remedy">
                  <p>{gap.sentence}</p>
                  <p className="dr-quiet">
                    {gap.remedy}
                    {gap.command && gap.where && ` At ${gap.where}:`}
                  </p>
                  {gap.command && <Command text={gap.command} />}
                </Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
      )}
      {found.left_out > 0 && <p>{found.left_out} more are not shown. Choose a level or a kind.</p>}
    </div>
  );
}
