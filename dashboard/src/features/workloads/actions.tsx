// Scale, update, roll back, delete: a small form where one is needed, then the plan.

import { useState } from "react";

import { api, taken, type Workload } from "../../api/client";
import { Button } from "../../ui/button";
import { command } from "../../ui/cli";
import { Dialog } from "../../ui/dialog";
import { TextField } from "../../ui/field";
import { WriteDialog } from "../writes/write-dialog";
import { imagePatch, imagesOf } from "./spec";

interface Props {
  workload: Workload;
  onClose: () => void;
  onDone?: () => void;
}

const at = (workload: string, dry_run: boolean) => ({ path: { workload }, query: { dry_run } });

export function ScaleDialog({ workload, onClose }: Props) {
  const [text, setText] = useState(String(workload.replicas));
  const [replicas, setReplicas] = useState<number | null>(null);
  const valid = /^\d{1,5}$/.test(text);
  const { name } = workload;
  if (replicas !== null) {
    return (
      <WriteDialog
        title={`Scale ${name} to ${replicas}`}
        verb="Scale"
        line={command("scale", `${name}=${replicas}`)}
        write={(dry) => taken(api.POST("/api/workloads/{workload}/scale", { params: at(name, dry), body: { replicas } }))}
        onClose={onClose}
      />
    );
  }
  return (
    <Dialog title={`Scale ${name}`} onClose={onClose}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (valid) setReplicas(Number(text));
        }}
      >
        <TextField label="Instances" inputMode="numeric" value={text} error={valid ? null : "Give a whole number."} onChange={(event) => setText(event.target.value)} />
        <Next blocked={valid ? null : "the number is not one"} onClose={onClose} />
      </form>
    </Dialog>
  );
}

export function UpdateDialog({ workload, onClose }: Props) {
  const [image, setImage] = useState(imagesOf(workload.spec)[0] ?? "");
  const [going, setGoing] = useState(false);
  const { name } = workload;
  if (going) {
    return (
      <WriteDialog
        title={`Update ${name}`}
        verb="Update"
        line={command("workload", "update", name, "--image", image)}
        write={(dry) =>
          taken(api.PATCH("/api/workloads/{workload}", { params: at(name, dry), body: imagePatch(workload.spec, image) as Record<string, never> }))
        }
        onClose={onClose}
      />
    );
  }
  return (
    <Dialog title={`Update ${name}`} onClose={onClose}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          setGoing(true);
        }}
      >
        <TextField
          label="Image"
          value={image}
          hint={(workload.spec.containers?.length ?? 0) > 1 ? "Of the first container; the tab Spec changes the others." : "Everything else is changed in the tab Spec."}
          onChange={(event) => setImage(event.target.value)}
        />
        <Next blocked={image ? null : "there is no image"} onClose={onClose} />
      </form>
    </Dialog>
  );
}

function Next({ blocked, onClose }: { blocked: string | null; onClose: () => void }) {
  return (
    <div className="flex justify-end gap-2">
      <Button onClick={onClose}>Cancel</Button>
      <Button look="main" type="submit" reason={blocked}>
        Show the plan
      </Button>
    </div>
  );
}

export function DeleteDialog({ workload, onClose, onDone }: Props) {
  const { name } = workload;
  return (
    <WriteDialog
      title={`Delete ${name}`}
      verb="Delete"
      confirm={name}
      line={command("workload", "rm", name)}
      write={(dry) => taken(api.DELETE("/api/workloads/{workload}", { params: at(name, dry) }))}
      onClose={onClose}
      onDone={onDone}
    />
  );
}

export function RollbackDialog({ workload, to, onClose }: Props & { to: number }) {
  const { name } = workload;
  return (
    <WriteDialog
      title={`Roll ${name} back to version ${to}`}
      verb="Roll back"
      line={command("workload", "rollback", name, "--to", to)}
      write={(dry) => taken(api.POST("/api/workloads/{workload}/rollback", { params: at(name, dry), body: { to } }))}
      onClose={onClose}
    />
  );
}
