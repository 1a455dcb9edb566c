import { useAuth } from "@authproject/client/react";
import { Form, Link, useActionData, useSearchParams } from "react-router";

import type { SignInStep } from "../data";
import { Field, FormError, Submit } from "../forms";

export function SignIn() {
  const { refusal, asksForCode } = useActionData<SignInStep>() ?? { refusal: null, asksForCode: false };
  const [parameters] = useSearchParams();
  const reason = useAuth().reason ?? parameters.get("reason");
  return (
    <main className="small card">
      <title>Sign in – Notes</title>
      <p className="brand">Notes</p>
      <h1>Sign in</h1>
      {reason && !refusal && <p className="notice" role="status">{describe(reason)}</p>}
      <Form method="post">
        {asksForCode ? <CodeField /> : <PasswordFields refusal={refusal} />}
        <FormError refusal={refusal} />
        <Submit>Sign in</Submit>
      </Form>
      <p><Link to="/forgot-password">Forgot your password?</Link></p>
      <p>New here? <Link to="/sign-up">Create an account</Link></p>
    </main>
  );
}

function PasswordFields({ refusal }: Pick<SignInStep, "refusal">) {
  return (
    <>
      <Field
        label="Username or email address" name="username" autoComplete="username" autoCapitalize="none"
        spellCheck={false} required refusal={refusal}
      />
      <Field
        label="Password" name="password" type="password" autoComplete="current-password" required refusal={refusal}
      />
    </>
  );
}

function CodeField() {
  return (
    <Field
      label="Code" name="code" autoComplete="one-time-code" autoFocus required
      hint="From your authenticator app, or a recovery code"
    />
  );
}

function describe(reason: string) {
  if (reason === "refresh_token_reused") return "We signed you out for your security. Please sign in again.";
  if (reason.startsWith("refresh_token_")) return "Your session has ended. Please sign in again.";
  return "You are signed out.";
}
