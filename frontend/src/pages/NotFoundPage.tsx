import { PageSection } from "@patternfly/react-core";
import { LinkButton } from "../components/LinkButton";
import { PageHead } from "../components/PageHead";

export function NotFoundPage() {
  return (
    <>
      <PageHead title="There is no such page">The address may be old or mistyped. Nothing was changed.</PageHead>
      <PageSection>
        <LinkButton to="/">To the overview</LinkButton>
      </PageSection>
    </>
  );
}
