// One resource: how it is, how it is reached, and everything one can do to it.

import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";

import { useCan } from "../../api/caller";
import type { Resource } from "../../api/client";
import { useKnown, usePicture } from "../../live/use-live";
import { RESOURCE_TABS, type ResourceTab } from "../../router";
import { Button } from "../../ui/button";
import { PageHead, Panel } from "../../ui/page";
import { Empty, Loading } from "../../ui/states";
import { DestroyDialog, RotateDialog, ScaleDialog } from "./actions";
import { Backups } from "./backups";
import { Credentials } from "./credentials";
import { Lines } from "./lines";
import { StatusOf } from "./progress";
import { busy } from "./stages";
import { Summary } from "./summary";

const LABELS: Record<ResourceTab, string> = { summary: "Summary", credentials: "Credentials", backups: "Backups", logs: "Logs" };

export function ResourceDetail() {
  const { name } = useParams({ from: "/resources/$name" });
  const { tab = "summary" } = useSearch({ from: "/resources/$name" });
  const resource = usePicture((picture) => picture.resources.get(name));
  const known = useKnown();
  if (!known) return <Loading what={`Loading ${name}`} />;
  if (!resource) {
    return (
      <>
        <PageHead title={name} />
        <Panel>
          <Empty icon="search" title="There is no such resource">
            It may have been destroyed. <Link to="/resources">All resources</Link>
          </Empty>
        </Panel>
      </>
    );
  }
  return (
    <>
      <Head resource={resource} />
      <nav aria-label={`Parts of ${name}`} className="mb-4 flex gap-1 overflow-x-auto border-b border-line">
        {RESOURCE_TABS.map((one) => (
          <Link
            key={one}
            to="/resources/$name"
            params={{ name }}
            search={{ tab: one === "summary" ? undefined : one }}
            aria-current={tab === one ? "page" : undefined}
            className="-mb-px rounded-t border-b-2 border-transparent px-3 py-2 whitespace-nowrap text-dim hover:text-text aria-[current]:border-accent aria-[current]:font-medium aria-[current]:text-text"
          >
            {LABELS[one]}
          </Link>
        ))}
      </nav>
      {tab === "summary" ? <Summary resource={resource} /> : null}
      {tab === "credentials" ? <Credentials key={name} resource={resource} /> : null}
      {tab === "backups" ? <Backups resource={resource} /> : null}
      {tab === "logs" ? <Lines resource={resource} /> : null}
    </>
  );
}

function Head({ resource }: { resource: Resource }) {
  const can = useCan();
  const navigate = useNavigate();
  const [open, setOpen] = useState<"scale" | "rotate" | "destroy" | null>(null);
  const close = () => setOpen(null);
  const operation = usePicture((picture) => picture.operations.get(resource.operation));
  const reason = can("resource_write");
  const now = reason ?? busy(resource, operation);
  return (
    <>
      <PageHead
        title={resource.name}
        about={`${resource.template} by ${resource.provider}${resource.message ? `: ${resource.message}` : ""}`}
        badge={<StatusOf resource={resource} />}
        actions={
          <>
            <Button reason={now} onClick={() => setOpen("scale")}>
              Scale
            </Button>
            <Button reason={now} onClick={() => setOpen("rotate")}>
              Rotate credentials
            </Button>
            <Button reason={reason} onClick={() => setOpen("destroy")}>
              Destroy
            </Button>
          </>
        }
      />
      {open === "scale" ? <ScaleDialog resource={resource} onClose={close} /> : null}
      {open === "rotate" ? <RotateDialog resource={resource} onClose={close} /> : null}
      {open === "destroy" ? <DestroyDialog resource={resource} onClose={close} onDone={() => void navigate({ to: "/resources" })} /> : null}
    </>
  );
}
