/* Select2 shows the chosen user in an element with the role of a text box, and gives it no name. */
"use strict";
// jQuery runs this after the callback that creates the element.
addEventListener("load", () => django.jQuery(() => {
  for (const filter of document.querySelectorAll("#changelist-filter [data-placeholder]")) {
    const shown = filter.parentElement.querySelector(".select2-selection__rendered");
    if (shown) shown.setAttribute("aria-label", filter.dataset.placeholder);
  }
}));
