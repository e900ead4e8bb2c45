// Comfort for readers whose browser runs scripts; the pages are complete without it.
"use strict";

// The name of the person who calls is kept in this browser.
for (const input of document.querySelectorAll("input[data-remembered]")) {
  input.value ||= localStorage.getItem("caller") ?? "";
  input.form.addEventListener("submit", () => localStorage.setItem("caller", input.value));
}

for (const button of document.querySelectorAll("button.print")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// The sections about the model were once a part of the first page.
if (location.pathname === "/" && ["#model", "#quality", "#drift", "#trends", "#data", "#dependencies"].includes(location.hash)) {
  location.replace(`/model${location.hash}`);
}
