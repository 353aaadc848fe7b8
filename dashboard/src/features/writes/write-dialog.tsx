// A write in a dialog above the view that it belongs to.

import { Dialog } from "../../ui/dialog";
import { WriteBody, type WriteProps } from "./write-body";

export function WriteDialog({ title, ...write }: WriteProps & { title: string }) {
  return (
    <Dialog title={title} onClose={write.onClose} wide>
      <WriteBody
        {...write}
        onDone={(result) => {
          write.onDone?.(result);
          write.onClose();
        }}
      />
    </Dialog>
  );
}
