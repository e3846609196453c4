import {
  ActionGroup,
  Button,
  Form,
  FormGroup,
  FormHelperText,
  FormSelect,
  FormSelectOption,
  HelperText,
  HelperTextItem,
  PageSection,
  TextInput,
} from "@patternfly/react-core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate, useParams } from "react-router";
import { Problem } from "../../api/client";
import { siteChange, siteCreate } from "../../api/commands";
import { siteQuery } from "../../api/queries";
import type { Site, SiteIn } from "../../api/types";
import { ActButton } from "../../components/ActButton";
import { ProblemAlert } from "../../components/Loaded";
import { LoadedPage } from "../../components/LoadedPage";
import { PageHead } from "../../components/PageHead";
import { useMay, useMayAtSite } from "../../lib/may";
import { THROUGH } from "./through";

type Fields = Record<keyof Omit<SiteIn, "host_keys" | "ceph_through" | "looked_for">, string> &
  Pick<SiteIn, "ceph_through">;
type TextField = Exclude<keyof Fields, "ceph_through">;

const FIELDS: { key: TextField; label: string; help: string; optional?: boolean; onlyNew?: boolean }[] = [
  { key: "name", label: "Name", help: "As people say it: “Site A”, “Frankfurt”." },
  {
    key: "slug",
    label: "Short name",
    help: "Small letters, digits and hyphens. Stands in addresses and in phrases to type; cannot be changed.",
    onlyNew: true,
  },
  { key: "ssh_host", label: "SSH host", help: "A host of the Ceph cluster on which rbd works." },
  { key: "ssh_port", label: "SSH port", help: "Usually 22." },
  {
    key: "ssh_user",
    label: "SSH user",
    help: "The portal's own user there, with as few rights as the way below needs.",
  },
  {
    key: "ceph_user",
    label: "Ceph user",
    help: "As in client.NAME, allowed to act: drportal-act. An installed site program observes as drportal-read then. Empty: the host's own configuration.",
    optional: true,
  },
  {
    key: "salvage_dir",
    label: "Directory for salvage",
    help: "At the SSH host, for what a reprotect would discard: on a disk that survives, with room for the images. Empty: nothing is saved.",
    optional: true,
  },
  {
    key: "opennebula_url",
    label: "OpenNebula address",
    help: "The XML-RPC address, such as https://one.example.org:2633/RPC2.",
  },
  { key: "opennebula_user", label: "OpenNebula user", help: "The portal's own user there." },
];

const EMPTY: Fields = {
  name: "",
  slug: "",
  ssh_host: "",
  ssh_port: "22",
  ssh_user: "",
  ceph_user: "",
  salvage_dir: "",
  ceph_through: "program",
  opennebula_url: "",
  opennebula_user: "",
};

export function SiteFormPage() {
  const slug = useParams().slug;
  const query = useQuery({ ...siteQuery(slug ?? ""), enabled: slug !== undefined, refetchOnWindowFocus: false });
  if (slug === undefined) return <SiteForm site={null} />;
  return (
    <LoadedPage query={query} what={`Site ${slug}`} crumbs={[{ to: "/sites", text: "Sites" }]}>
      {(site) => <SiteForm key={site.slug} site={site} />}
    </LoadedPage>
  );
}

const fieldsOf = (site: Site): Fields => ({
  name: site.name,
  slug: site.slug,
  ssh_host: site.ssh_host,
  ssh_port: String(site.ssh_port),
  ssh_user: site.ssh_user,
  ceph_user: site.ceph_user,
  salvage_dir: site.salvage_dir,
  ceph_through: site.ceph_through as SiteIn["ceph_through"],
  opennebula_url: site.opennebula_url,
  opennebula_user: site.opennebula_user,
});

function SiteForm({ site }: { site: Site | null }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const change = useMayAtSite("sites", site?.slug ?? "");
  const make = useMay("sites", "everywhere");
  const { whyNot } = site ? change : make;
  const [fields, setFields] = useState<Fields>(() => (site ? fieldsOf(site) : EMPTY));
  // The version of what was shown when the form was opened: somebody else's change in between is refused, not overwritten.
  const [version] = useState(site?.version ?? 0);
  const save = useMutation({
    mutationFn: () => {
      const { slug, ...rest } = { ...fields, ssh_port: Number(fields.ssh_port) };
      return site ? siteChange(site.slug, version, rest) : siteCreate({ slug, ...rest, host_keys: [], looked_for: [] });
    },
    onSuccess: async (saved) => {
      await client.invalidateQueries({ queryKey: ["sites"] });
      void navigate(`/sites/${saved.slug}`);
    },
  });
  const wrong = save.error instanceof Problem ? save.error.fields : {};
  const shown = FIELDS.filter((field) => !(site && field.onlyNew));
  const missing = shown.find((field) => !field.optional && fields[field.key].trim() === "");
  return (
    <>
      <PageHead
        title={site ? `Change ${site.name}` : "Set up a site"}
        crumbs={[{ to: "/sites", text: "Sites" }, ...(site ? [{ to: `/sites/${site.slug}`, text: site.name }] : [])]}
      >
        Credentials and host keys follow on the site's own page, with a connection test.
      </PageHead>
      <PageSection>
        <Form
          isWidthLimited
          onSubmit={(event) => {
            event.preventDefault();
            if (!missing) save.mutate();
          }}
        >
          {shown.map((field) => (
            <FormGroup key={field.key} label={field.label} isRequired={!field.optional} fieldId={field.key}>
              <TextInput
                id={field.key}
                value={fields[field.key]}
                type={field.key === "ssh_port" ? "number" : "text"}
                validated={wrong[field.key] ? "error" : "default"}
                aria-describedby={`${field.key}-help`}
                onChange={(_event, value) => setFields({ ...fields, [field.key]: value })}
              />
              <FormHelperText>
                <HelperText id={`${field.key}-help`}>
                  <HelperTextItem variant={wrong[field.key] ? "error" : "default"}>
                    {wrong[field.key] ?? field.help}
                  </HelperTextItem>
                </HelperText>
              </FormHelperText>
            </FormGroup>
          ))}
          <FormGroup label="How Ceph is reached" fieldId="ceph_through">
            <FormSelect
              id="ceph_through"
              value={fields.ceph_through}
              aria-describedby="ceph_through-help"
              onChange={(_event, value) => setFields({ ...fields, ceph_through: value as SiteIn["ceph_through"] })}
            >
              {Object.entries(THROUGH).map(([value, label]) => (
                <FormSelectOption key={value} value={value} label={label} />
              ))}
            </FormSelect>
            <FormHelperText>
              <HelperText id="ceph_through-help">
                <HelperTextItem>
                  The site program is faster, keeps a receipt of every act, and can be all that the key reaches. The rbd
                  client works everywhere.
                </HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
          <ProblemAlert error={save.error} title="The site was not saved" />
          <ActionGroup>
            <ActButton
              type="submit"
              whyNot={whyNot || (missing ? `${missing.label} is missing.` : "")}
              isLoading={save.isPending}
            >
              {site ? "Save" : "Set up"}
            </ActButton>
            <Button variant="link" onClick={() => void navigate(-1)}>
              Leave without saving
            </Button>
          </ActionGroup>
        </Form>
      </PageSection>
    </>
  );
}
