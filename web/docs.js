// Draws /openapi.json; everything comes from this server, nothing is sent elsewhere for validation.

// A path is shown within a button: a link there could not be reached by keyboard. Addresses of operations work all the same.
const plainPaths = ({ React }) => ({
  wrapComponents: { DeepLink: () => ({ text }) => React.createElement("span", null, text) },
});

window.addEventListener("load", async () => {
  const isDark = window.matchMedia("(prefers-color-scheme: dark)");
  const paint = () => {
    const kept = document.documentElement.dataset.theme;
    document.documentElement.classList.toggle("dark-mode", kept ? kept === "dark" : isDark.matches);
  };
  isDark.addEventListener("change", paint);
  paint();
  const spec = await (await fetch("/openapi.json")).json();
  spec.servers = [{ url: "/" }]; // of the origins that the document allows, the one of this page
  window.SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    validatorUrl: null,
    plugins: [plainPaths],
  });
});
