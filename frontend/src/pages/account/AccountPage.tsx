import { Card, CardBody, CardTitle, DescriptionList, PageSection } from "@patternfly/react-core";
import { Link } from "react-router";
import { PageHead } from "../../components/PageHead";
import { useMe } from "../../lib/may";
import { Fact } from "../runs/RunFacts";
import { FactorsCard } from "./FactorsCard";
import { PasswordCard } from "./PasswordCard";
import { SessionsCard } from "./SessionsCard";
import { TokensCard } from "./TokensCard";

export function AccountPage() {
  const me = useMe();
  return (
    <>
      <PageHead title="Account" />
      <PageSection className="dr-stack">
        <Card>
          <CardTitle component="h2">{me.name}</CardTitle>
          <CardBody className="dr-stack">
            <DescriptionList isCompact isHorizontal>
              <Fact term="User name">{me.username}</Fact>
              <Fact term="Roles">{me.roles.join(", ") || "none"}</Fact>
              <Fact term="May">{me.permissions.join(", ") || "nothing"}</Fact>
            </DescriptionList>
            {me.permissions.includes("view") && (
              <p>
                <Link to="/access">Who may do what, and why</Link>
              </p>
            )}
          </CardBody>
        </Card>
        <PasswordCard />
        <FactorsCard />
        <SessionsCard />
        <TokensCard />
      </PageSection>
    </>
  );
}
