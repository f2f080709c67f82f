/** Tables that sort by a column, and the switch of the moving pictures. */

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** What a cell sorts by: its number, its text, or null for an empty one. */
function valueOf(row, column, isNumber) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "") return null;
  return isNumber ? Number(text) : text;
}

/** Sorts the rows of a table; cells without a value stay last either way, and equal ones keep their order. */
function sortBy(table, column, isNumber, falling) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column, isNumber) }));
  rows.sort((one, other) => {
    if (one.value === null || other.value === null) return (one.value === null) - (other.value === null);
    const order = isNumber ? one.value - other.value : collator.compare(one.value, other.value);
    return falling ? -order : order;
  });
  body.append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const isNumber = heading.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    const arrow = document.createElement("span"); // for the eye; others hear `aria-sort`
    arrow.className = "arrow";
    arrow.ariaHidden = "true";
    button.append(...heading.childNodes, arrow);
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const falling = before === null ? isNumber : before === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      sortBy(table, column, isNumber, falling);
    });
    heading.append(button);
  });
}

const motion = document.getElementById("motion");
if (motion) {
  // The browser shows the still picture where its condition holds; the switch makes that always or never.
  const stills = [...document.querySelectorAll("source.still")];
  let moves = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const show = () => {
    stills.forEach((still) => { still.media = moves ? "not all" : "all"; });
    motion.textContent = moves ? "Stop the pictures" : "Move the pictures";
  };
  motion.hidden = false;
  motion.addEventListener("click", () => { moves = !moves; show(); });
  show();
}
