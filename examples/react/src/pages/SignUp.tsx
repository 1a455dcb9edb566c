import { Form, Link, useActionData } from "react-router";

import type { Refusal } from "../data";
import { Field, FormError, Submit } from "../forms";

export function SignUp() {
  const refusal = useActionData<Refusal>();
  return (
    <main className="small card">
      <title>Create an account – Notes</title>
      <p className="brand">Notes</p>
      <h1>Create an account</h1>
      <Form method="post">
        <Field
          label="Username" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required
          refusal={refusal}
        />
        <Field label="Email address" name="email" type="email" autoComplete="email" required refusal={refusal} />
        <Field
          label="Password" name="password" type="password" autoComplete="new-password" required refusal={refusal}
          hint="At least 8 characters. Several words are better than a few symbols."
        />
        <FormError refusal={refusal} />
        <Submit>Create the account</Submit>
      </Form>
      <p>You have an account? <Link to="/sign-in">Sign in</Link></p>
    </main>
  );
}
