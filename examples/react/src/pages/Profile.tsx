import { Form, useActionData, useRouteLoaderData } from "react-router";

import { isRefusal, type Profile as Content, type Refusal, type Saved } from "../data";
import { Field, FormError, Submit } from "../forms";

export function Profile() {
  const profile = useRouteLoaderData<Content>("signed-in")!;
  const result = useActionData<Refusal | Saved>();
  const refusal = isRefusal(result) ? result : undefined;
  const needsPassword = refusal?.code === "recent_authentication_required" || refusal?.code === "invalid_password";
  return (
    <>
      <title>Profile – Notes</title>
      <h1>Profile</h1>
      <p className="lead">Roles: {profile.roles.map((role) => role.replace("ROLE_", "").toLowerCase()).join(", ")}</p>
      <Form method="post" className="card narrow">
        <Field label="Full name" name="fullname" autoComplete="name" defaultValue={profile.fullname} refusal={refusal} />
        <Field
          label="Username" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required
          defaultValue={profile.username} refusal={refusal}
        />
        <Field
          label="Email address" name="email" type="email" autoComplete="email" required defaultValue={profile.email}
          hint={profile.emailVerified ? "Verified." : "Not verified yet: open the link that we sent you."} refusal={refusal}
        />
        {needsPassword && (
          <Field
            label="Password" name="password" type="password" autoComplete="current-password" required autoFocus
            hint="Enter it again to change your username or email address."
          />
        )}
        <FormError refusal={refusal} />
        <div className="actions">
          <Submit>Save</Submit>
          <span role="status" className="hint">{result && !refusal && "Saved."}</span>
        </div>
      </Form>
    </>
  );
}
