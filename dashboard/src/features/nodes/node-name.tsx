// A node by its name, where only its id is told; by the id while the name is not known.

import { Link } from "@tanstack/react-router";

import { usePicture } from "../../live/use-live";

export function NodeName({ id }: { id: string }) {
  const name = usePicture((picture) => picture.nodes.get(id)?.name);
  return (
    <Link to="/nodes/$id" params={{ id }} title={id} className={name ? "hover:underline" : "font-mono text-[0.86rem] hover:underline"}>
      {name ?? id}
    </Link>
  );
}
