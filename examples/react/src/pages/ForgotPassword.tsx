import { Form, Link, useActionData } from "react-router";

import { isRefusal, type Refusal, type Saved } from "../data";
import { Field, FormError, Submit } from "../forms";

/** Requests an emailed link. It leads to a page of the service, unless AUTH_RESET_URL names one of yours. */
export function ForgotPassword() {
  const result = useActionData<Refusal | Saved>();
  const refusal = isRefusal(result) ? result : undefined;
  return (
    <main className="small card">
      <title>Reset your password – Notes</title>
      <p className="brand">Notes</p>
      <h1>Reset your password</h1>
      {result && !refusal
        ? <p className="notice" role="status">If the address has an account, we sent a link to it. It works once.</p>
        : (
          <Form method="post">
            <Field label="Email address" name="email" type="email" autoComplete="email" required refusal={refusal} />
            <FormError refusal={refusal} />
            <Submit>Send the link</Submit>
          </Form>
        )}
      <p><Link to="/sign-in">Back to the sign-in</Link></p>
    </main>
  );
}
