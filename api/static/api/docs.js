// The documentation page: Swagger UI in the frame of the other pages.
"use strict";

// What Swagger UI leaves without a name, or names differently than it shows.
const NAMES = {
  "textarea.body-param__text": "Request body",
  ".examples-select-element": "Example",
  ".content-type": "Media type",
  ".close-modal": "Close",
  ".copy-to-clipboard button": "Copy",
};
// The dialog's headings continue those of Swagger UI's own title.
const LEVELS = { ".modal-ux-header h3": 2, ".auth-container h4": 3 };
const MISNAMED = ".modal-btn[aria-label]";
const SCROLLING = ".microlight, .model-box";

/** A layout without Swagger UI's own title and landmarks, which this page has. Links within buttons become text. */
function pageLayout({ React: { createElement } }) {
  function PageLayout({ getComponent, specSelectors }) {
    if (specSelectors.loadingStatus() !== "success") return createElement("div", { className: "loading" });
    const part = (name, properties) => createElement(getComponent(name, true), properties);
    return createElement(
      "div",
      { className: "swagger-ui" },
      part("SvgAssets"),
      part("Markdown", { source: specSelectors.info().get("description") }),
      part("AuthorizeBtnContainer"),
      createElement("h2", {}, "Endpoints"),
      part("operations"),
      part("Models"),
    );
  }
  const DeepLink = ({ text }) => createElement("span", {}, text);
  return { components: { PageLayout, DeepLink } };
}

function nameControls(root) {
  for (const [selector, name] of Object.entries(NAMES))
    for (const control of root.querySelectorAll(selector)) control.setAttribute("aria-label", name);
  for (const control of root.querySelectorAll(MISNAMED)) control.removeAttribute("aria-label");
  for (const [selector, level] of Object.entries(LEVELS))
    for (const heading of root.querySelectorAll(selector)) heading.ariaLevel = level;
  for (const box of root.querySelectorAll(SCROLLING)) box.tabIndex = 0;
}

const place = document.getElementById("swagger-ui");
let dialog = null;
new MutationObserver(() => {
  nameControls(place);
  if (dialog?.isConnected) return;
  // Swagger UI focuses the last of the dialog's fields.
  dialog = place.querySelector(".modal-ux");
  dialog?.querySelector("input")?.focus();
}).observe(place, { childList: true, subtree: true });
SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  layout: "PageLayout",
  plugins: [pageLayout],
  syntaxHighlight: { activated: false }, // its colors are too faint on either background
});
