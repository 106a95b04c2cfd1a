// Loaded before the styles, so that the page is never drawn in the wrong theme.
{
  const kept = localStorage.getItem("perpetua.theme");
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
}
