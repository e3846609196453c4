import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { LiveSocket, type LiveStatus } from "./socket";
import { Refetcher } from "./topics";

type Live = { status: LiveStatus; socket: LiveSocket | null };

const LiveContext = createContext<Live>({ status: { state: "connecting", since_ms: 0 }, socket: null });

export function LiveProvider({ children, onSignedOut }: { children: ReactNode; onSignedOut: () => void }) {
  const client = useQueryClient();
  const [status, setStatus] = useState<LiveStatus>({ state: "connecting", since_ms: Date.now() });
  const socket = useMemo(() => {
    const refetcher = new Refetcher(client);
    const scheme = window.location.protocol === "https:" ? "wss" : "ws";
    return new LiveSocket(`${scheme}://${window.location.host}/ws/live/`, {
      onStatus: setStatus,
      onHint: (topic) => refetcher.hint(topic),
      // Readiness asks the sites themselves and is only read again when somebody asks for it.
      onConnect: () => void client.invalidateQueries({ predicate: (query) => query.queryKey[0] !== "readiness" }),
    });
  }, [client]);
  useEffect(() => {
    socket.start();
    const wake = () => {
      if (document.visibilityState === "visible") socket.wake();
    };
    window.addEventListener("online", wake);
    document.addEventListener("visibilitychange", wake);
    return () => {
      window.removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
      socket.stop();
    };
  }, [socket]);
  useEffect(() => {
    if (status.state === "signed_out") onSignedOut();
  }, [status.state, onSignedOut]);
  const live = useMemo(() => ({ status, socket }), [status, socket]);
  return <LiveContext.Provider value={live}>{children}</LiveContext.Provider>;
}

export function useLiveStatus(): LiveStatus {
  return useContext(LiveContext).status;
}

/**
 * Subscribes the page to topics, and gives the interval to poll at: hints may be lost and only tell of changes, while
 * "heard 4 s ago" grows old without one. So even a live page reads again now and then; one that is not live, often.
 */
export function useLive(topics: string[], what: "run" | "sites" | "other" = "other"): number {
  const { socket, status } = useContext(LiveContext);
  const joined = topics.join(" ");
  useEffect(() => {
    if (!socket || joined === "") return;
    return socket.subscribe(joined.split(" "));
  }, [socket, joined]);
  if (what === "sites") return 10_000;
  if (what === "run") return status.state === "live" ? 15_000 : 5000;
  return status.state === "live" ? 30_000 : 10_000;
}
