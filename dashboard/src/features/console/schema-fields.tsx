// The fields of a form from a schema.

import { AreaField, SelectField, TextField } from "../../ui/field";
import type { Field } from "./schema-form";

interface Props {
  fields: readonly Field[];
  values: Readonly<Record<string, string>>;
  faults: Readonly<Record<string, string>>;
  onChange: (name: string, value: string) => void;
}

export function SchemaFields({ fields, values, faults, onChange }: Props) {
  if (fields.length === 0) return <p className="text-dim">It takes no arguments.</p>;
  return (
    <div className="grid gap-3 sm:grid-cols-2">
      {fields.map((field) => {
        const label = field.required ? field.name : `${field.name} (optional)`;
        const shared = {
          label,
          hint: field.description || null,
          error: faults[field.name],
          value: values[field.name] ?? "",
          onChange: (event: { target: { value: string } }) => onChange(field.name, event.target.value),
        };
        switch (field.kind) {
          case "choice":
          case "boolean":
            return (
              <SelectField key={field.name} {...shared}>
                <option value="">left out</option>
                {(field.kind === "boolean" ? ["true", "false"] : field.choices).map((choice) => (
                  <option key={choice}>{choice}</option>
                ))}
              </SelectField>
            );
          case "words":
            return <AreaField key={field.name} rows={3} {...shared} hint={shared.hint ?? "One a line."} />;
          case "json":
            return <AreaField key={field.name} rows={5} {...shared} hint={shared.hint ?? "As JSON."} />;
          case "text":
          case "number":
            if (field.lines) return <AreaField key={field.name} rows={10} {...shared} />;
            return <TextField key={field.name} inputMode={field.kind === "number" ? "numeric" : undefined} {...shared} />;
        }
      })}
    </div>
  );
}
