"""How well a page's texts stand out from what they stand on."""

from __future__ import annotations

from playwright.sync_api import Page

_FAINT = """
() => {
  const parsed = (text) => {
    const parts = text.match(/rgba?\\(([^)]+)\\)/)[1].split(/[ ,/]+/).map(Number);
    return [parts[0], parts[1], parts[2], parts.length > 3 ? parts[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.unshift(parsed(getComputedStyle(at).backgroundColor));
      if (layers[0][3] === 1) break;
    }
    return layers.reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const faint = {};
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || !element.getClientRects().length || element.closest(":disabled")) continue;
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= Number(getComputedStyle(at).opacity);
    const style = getComputedStyle(element);
    const below = ground(element);
    const ink = parsed(style.color);
    const both = [luminance(over([...ink.slice(0, 3), ink[3] * opacity], below)), luminance(below)];
    const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faint[`${element.className || element.tagName}: ${text.slice(0, 30)}`] = ratio.toFixed(2);
  }
  return faint;
}
"""  # noqa: E501  a script


def faint(page: Page) -> dict[str, str]:
    """Texts whose contrast is below what WCAG asks (AA: 4.5, large ones 3), each with its ratio."""
    found: dict[str, str] = page.evaluate(_FAINT)
    return found
