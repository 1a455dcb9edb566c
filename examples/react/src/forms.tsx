import { type InputHTMLAttributes, useId } from "react";
import { useNavigation } from "react-router";

import type { Refusal } from "./data";

interface FieldProps extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  name: string;
  hint?: string;
  refusal?: Refusal | null | undefined;
}

/** An input with its label, a hint, and the errors that the service reports for it. */
export function Field({ label, hint, refusal, ...input }: FieldProps) {
  const id = useId();
  const errors = refusal?.errors[input.name];
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input id={id} aria-invalid={errors ? true : undefined} aria-describedby={`${id}-about`} {...input} />
      <div id={`${id}-about`}>
        {hint && <p className="hint">{hint}</p>}
        {errors && <p className="error" role="alert">{errors.join(" ")}</p>}
      </div>
    </div>
  );
}

/** Why the form as a whole was refused. Errors of fields are shown below the fields. */
export function FormError({ refusal }: { refusal?: Refusal | null | undefined }) {
  if (!refusal || Object.keys(refusal.errors).length) return null;
  return <p className="error" role="alert">{refusal.message}</p>;
}

/** The button that submits a form, disabled while it is submitted. */
export function Submit({ children }: { children: string }) {
  const { state } = useNavigation();
  return <button disabled={state !== "idle"}>{state === "submitting" ? "One moment…" : children}</button>;
}
