"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  const form = one("#filter");
  if (form) {
    const [search, rule, collection, shown] = ["#search", "#rule", "#collection", "#shown"].map(one);
    const places = all(".kind").map((place) => ({
      place,
      text: (place.closest(".finding").querySelector("h3").textContent + " " + place.textContent).toLowerCase(),
    }));
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const { place, text } of places) {
        const wanted = (!rule.value || place.dataset.code === rule.value)
          && (!collection.value || place.dataset.collection === collection.value)
          && words.every((word) => text.includes(word));
        place.hidden = !wanted;
        count += wanted ? 1 : 0;
      }
      for (const finding of all(".finding")) finding.hidden = !finding.querySelector(".kind:not([hidden])");
      shown.value = `${count.toLocaleString("en")} of ${places.length.toLocaleString("en")} places shown`;
    };
    const clear = () => { search.value = rule.value = collection.value = ""; apply(); };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    one("#clear").addEventListener("click", () => { clear(); search.focus(); });
    for (const cell of all(".heat tbody a")) {
      cell.addEventListener("click", () => {
        clear();
        rule.value = cell.dataset.code;
        collection.value = cell.dataset.collection;
        if (collection.selectedIndex < 0) collection.value = "";
        apply();
        for (const place of all(".kind:not([hidden])")) place.open = true;
      });
    }
    for (const link of all(".heat thead a")) link.addEventListener("click", clear);
    document.addEventListener("keydown", (event) => {
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); search.focus(); }
      if (event.key === "Escape" && event.target === search) clear();
    });
    form.hidden = false;
    apply();
  }

  for (const button of all(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector(".command");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
})();
