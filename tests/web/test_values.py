"""Components show the value that is, whenever it has changed."""

from api.documents.web_tree import WEB_TREE
from tests.web.conftest import Open

CHANGED_BEFORE_IT_IS_WATCHED = """async ([version]) => {
  const { useValue, Value } = await import(`/web/${version}/lib/state.js`);
  const { html, render } = await import(`/web/${version}/vendor/htm/preact.js`);
  const value = new Value("before");
  const place = document.createElement("div");
  const Shown = () => html`<p>${useValue(value)}</p>`;
  render(html`<${Shown} />`, place);
  value.set("after");
  for (let frames = 0; frames < 60 && place.textContent !== "after"; frames += 1) await new Promise(requestAnimationFrame);
  return place.textContent;
}"""


def test_a_change_before_a_component_watches_is_shown(open_page: Open) -> None:
    """Found on a slow machine: the console asked for a role forever, because the answer came between drawing and watching."""
    page = open_page("/trade/BTC-PERP").page
    assert page.evaluate(CHANGED_BEFORE_IT_IS_WATCHED, [WEB_TREE.version]) == "after"
