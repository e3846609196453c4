import {
  Breadcrumb,
  BreadcrumbItem,
  Content,
  Flex,
  FlexItem,
  PageBreadcrumb,
  PageSection,
  Title,
} from "@patternfly/react-core";
import { type ReactNode, useEffect } from "react";
import { Link } from "react-router";

/** Title, one sentence, and what can be done here. Also names the browser's tab. */
export function PageHead({
  title,
  labels,
  children,
  actions,
  crumbs = [],
}: {
  title: string;
  labels?: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
  crumbs?: { to: string; text: string }[];
}) {
  useEffect(() => {
    document.title = `${title} · DR Portal`;
  }, [title]);
  return (
    <>
      {crumbs.length > 0 && (
        <PageBreadcrumb>
          <Breadcrumb>
            {crumbs.map((crumb) => (
              <BreadcrumbItem
                key={crumb.to}
                render={({ className }) => (
                  <Link to={crumb.to} className={className}>
                    {crumb.text}
                  </Link>
                )}
              />
            ))}
            <BreadcrumbItem isActive>{title}</BreadcrumbItem>
          </Breadcrumb>
        </PageBreadcrumb>
      )}
      <PageSection>
        <Flex
          justifyContent={{ default: "justifyContentSpaceBetween" }}
          alignItems={{ default: "alignItemsFlexStart" }}
        >
          <FlexItem flex={{ default: "flex_1" }}>
            <Flex spaceItems={{ default: "spaceItemsMd" }} alignItems={{ default: "alignItemsCenter" }}>
              <Title headingLevel="h1">{title}</Title>
              {labels}
            </Flex>
            {children && <Content component="p">{children}</Content>}
          </FlexItem>
          {actions && <div className="dr-actions">{actions}</div>}
        </Flex>
      </PageSection>
    </>
  );
}
