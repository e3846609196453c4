import {
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  MastheadToggle,
  Nav,
  NavGroup,
  NavItem,
  Page,
  PageSidebar,
  PageSidebarBody,
  PageToggleButton,
  SkipToContent,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarGroup,
  ToolbarItem,
} from "@patternfly/react-core";
import DesktopIcon from "@patternfly/react-icons/dist/esm/icons/desktop-icon";
import MoonIcon from "@patternfly/react-icons/dist/esm/icons/moon-icon";
import SunIcon from "@patternfly/react-icons/dist/esm/icons/sun-icon";
import { usePrefetchQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Link, useLocation } from "react-router";
import { pairsQuery } from "../api/queries";
import { isUnder } from "../lib/address";
import { keepTheme, storedTheme, type Theme } from "../lib/theme";
import mark from "../mark.svg";
import { PersonMenu } from "./PersonMenu";
import { SiteStrip } from "./SiteStrip";

const MAIN = "main-content";

const NAVIGATION: { title: string; items: { to: string; text: string }[] }[] = [
  {
    title: "Now",
    items: [
      { to: "/", text: "Overview" },
      { to: "/runs", text: "Runs" },
      { to: "/approvals", text: "Approvals" },
      { to: "/alerts", text: "Alerts" },
    ],
  },
  {
    title: "Move",
    items: [
      { to: "/planned-failover", text: "Planned failover" },
      { to: "/failback", text: "Failback" },
      { to: "/disaster-failover", text: "Disaster failover" },
      { to: "/fence", text: "Fence a returned site" },
      { to: "/reprotect", text: "Reprotect" },
    ],
  },
  {
    title: "Protect",
    items: [
      { to: "/plans", text: "Plans" },
      { to: "/vms", text: "VMs" },
      { to: "/images", text: "Images" },
      { to: "/pools", text: "Pools" },
      { to: "/gaps", text: "Gaps" },
      { to: "/sites", text: "Sites" },
    ],
  },
  {
    title: "Record",
    items: [
      { to: "/reviews", text: "Reviews" },
      { to: "/report", text: "Report" },
      { to: "/trail", text: "Trail" },
      { to: "/access", text: "Access" },
    ],
  },
];

/** Masthead, navigation and the strip of sites around every page. */
export function AppShell({ children }: { children: ReactNode }) {
  usePrefetchQuery(pairsQuery); // nearly every page begins with it, and would wait for it first
  return (
    <Page
      masthead={<Head />}
      sidebar={<Sidebar />}
      isManagedSidebar
      mainContainerId={MAIN}
      skipToContent={<SkipToContent href={`#${MAIN}`}>Skip to content</SkipToContent>}
    >
      <div className="dr-frame">
        <SiteStrip />
        <div className="dr-body">{children}</div>
      </div>
    </Page>
  );
}

function Head() {
  return (
    <Masthead>
      <MastheadMain>
        <MastheadToggle>
          <PageToggleButton isHamburgerButton aria-label="Navigation" />
        </MastheadToggle>
        <MastheadBrand>
          <MastheadLogo component="div">
            <Link to="/" className="dr-brand">
              <img src={mark} alt="" />
              DR Portal
            </Link>
          </MastheadLogo>
        </MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <Toolbar isStatic>
          <ToolbarContent>
            <ToolbarGroup align={{ default: "alignEnd" }}>
              <ToolbarItem>
                <ThemeToggle />
              </ToolbarItem>
              <ToolbarItem>
                <PersonMenu />
              </ToolbarItem>
            </ToolbarGroup>
          </ToolbarContent>
        </Toolbar>
      </MastheadContent>
    </Masthead>
  );
}

function Sidebar() {
  const { pathname } = useLocation();
  return (
    <PageSidebar>
      <PageSidebarBody>
        <Nav aria-label="Pages">
          {NAVIGATION.map((group) => (
            <NavGroup key={group.title} title={group.title}>
              {group.items.map((item) => (
                <NavItem key={item.to} itemId={item.to} isActive={isUnder(pathname, item.to)}>
                  <Link to={item.to}>{item.text}</Link>
                </NavItem>
              ))}
            </NavGroup>
          ))}
        </Nav>
      </PageSidebarBody>
    </PageSidebar>
  );
}

const THEMES: { theme: Theme; label: string; icon: ReactNode }[] = [
  { theme: "light", label: "Light theme", icon: <SunIcon /> },
  { theme: "system", label: "Theme of the system", icon: <DesktopIcon /> },
  { theme: "dark", label: "Dark theme", icon: <MoonIcon /> },
];

export function ThemeToggle() {
  const [chosen, setChosen] = useState(storedTheme);
  return (
    <ToggleGroup aria-label="Theme" isCompact>
      {THEMES.map(({ theme, label, icon }) => (
        <ToggleGroupItem
          key={theme}
          icon={icon}
          aria-label={label}
          buttonId={`theme-${theme}`}
          isSelected={chosen === theme}
          onChange={() => {
            keepTheme(theme);
            setChosen(theme);
          }}
        />
      ))}
    </ToggleGroup>
  );
}
