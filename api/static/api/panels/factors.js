// The user's second factors: authenticator apps, passkeys and recovery codes.
import { confirmIdentity } from "../confirmation.js";
import { openDialog } from "../dialogs.js";
import { $, element } from "../elements.js";
import { onSubmit } from "../forms.js";
import { formatDateTime, text } from "../texts.js";

const STEP_UP_CODES = ["recent_authentication_required", "second_factor_required"];

/** Return the panel. `start` loads the list. */
export function factorsPanel({ auth, attempt, onClick }) {
  const { factors, passkeys } = auth;
  let kinds = []; // what the user can confirm changes with
  let app; // the authenticator app that is being added
  let renamed; // the id of the factor that is being renamed

  async function load() {
    const { factors: listed, recoveryCodesLeft } = await factors.list();
    const types = [...new Set(listed.map(({ type }) => type))];
    kinds = listed.length ? [...types, "recovery_code"] : ["password"];
    $("factors").replaceChildren(...listed.map((factor) => renderFactor(factor, rename, remove)));
    $("codes-left").textContent = text("codes_left", { count: recoveryCodesLeft });
    for (const id of ["codes-left", "renew-codes"]) $(id).hidden = !listed.length;
  }

  /** Run a change; if it needs a step-up, ask the user for it first. Return undefined if the user cancels. */
  async function change(action) {
    try {
      return await action();
    } catch (error) {
      if (!STEP_UP_CODES.includes(error.code)) throw error;
    }
    const isConfirmed = await confirmIdentity(kinds, (answer) => auth.stepUp(answer), () => passkeys.stepUp());
    return isConfirmed ? action() : undefined;
  }

  async function reload() {
    await load();
    $("factors-title").focus();
  }

  async function finishEnrollment(enrolled) {
    if (!enrolled) return;
    await load();
    if (enrolled.recoveryCodes) await showCodes(enrolled.recoveryCodes);
    $("factors-title").focus();
  }

  const rename = ({ id, name }) =>
    attempt(async () => {
      renamed = id;
      $("new-name").value = name;
      $("rename-error").textContent = "";
      if (await openDialog("rename")) await reload();
    });

  const remove = ({ id, name }) =>
    attempt(async () => {
      $("remove-title").textContent = text("remove_factor", { name });
      if (!(await openDialog("remove"))) return;
      await change(() => factors.remove(id));
      await reload();
    });

  onClick("add-passkey", async () => finishEnrollment(await change(() => passkeys.register())));
  onClick("add-app", async () => {
    app = await change(() => factors.addAuthenticator(text("app_name")));
    if (!app) return;
    showApp(app);
    if (await openDialog("app")) await finishEnrollment(app.enrolled);
  });
  onClick("renew-codes", async () => {
    const codes = await change(() => factors.renewRecoveryCodes());
    if (codes) await showCodes(codes);
    await reload();
  });
  onSubmit($("app-form"), async ({ code }) => {
    app.enrolled = await factors.confirmAuthenticator(app.id, code.replace(/\s/g, ""));
    $("app").close("confirmed");
  });
  onSubmit($("rename-form"), async ({ name }) => {
    if (await change(() => factors.rename(renamed, name))) $("rename").close("renamed");
  });
  $("add-passkey").hidden = !passkeys.isSupported;
  return { start: () => load().catch(() => {}) };
}

function renderFactor(factor, rename, remove) {
  const { type, name, createdAt, lastUsedAt, synced } = factor;
  const kind = text(type === "totp" ? "kind_totp" : synced ? "kind_synced_passkey" : "kind_passkey");
  const created = formatDateTime(createdAt);
  const used = lastUsedAt ? formatDateTime(lastUsedAt) : text("never");
  const details = text("factor_details", { kind, created, used });
  const action = (label, act) => {
    const button = element("button", { className: "quiet", onclick: () => act(factor) }, text(label));
    button.setAttribute("aria-label", text(`${label}_factor_named`, { name }));
    return button;
  };
  const actions = element("span", { className: "actions" }, action("rename", rename), action("remove", remove));
  return element("li", {}, element("span", {}, name, element("small", {}, details)), actions);
}

function showApp({ secret, uri, qrCode }) {
  $("app-form").reset();
  $("app-error").textContent = "";
  $("app-qr").src = qrCode;
  $("app-secret").textContent = secret.match(/.{1,4}/g).join(" ");
  $("app-uri").href = uri;
}

/** Show recovery codes until the user closes them. */
async function showCodes(codes) {
  const list = `${codes.join("\n")}\n`;
  $("codes-list").replaceChildren(...codes.map((code) => element("li", {}, element("code", {}, code))));
  $("codes-status").textContent = "";
  $("copy-codes").hidden = !navigator.clipboard;
  $("copy-codes").onclick = () =>
    navigator.clipboard.writeText(list).then(
      () => ($("codes-status").textContent = text("copied")),
      () => ($("codes-status").textContent = text("not_copied")),
    );
  const address = URL.createObjectURL(new Blob([list], { type: "text/plain" }));
  $("download-codes").href = address;
  await openDialog("codes");
  URL.revokeObjectURL(address);
  $("codes-list").replaceChildren();
}
