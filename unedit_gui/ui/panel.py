"""A panel: a tab's own HTML, with its clicks and inputs as Gradio events."""

from __future__ import annotations

import gradio as gr

# The events' names must stand here for gr.HTML to offer them: 'click', 'input', 'upload'.
BRIDGE = "window.unedit.bridge(element, trigger)"
TELLER = "watch('value', () => trigger('input'))"
SAVER = "watch('value', () => window.unedit.save(props.value))"


def panel(view: str, value: str = "") -> gr.HTML:
    """The place where a view is drawn."""
    return gr.HTML(value, elem_id=f"view-{view}", elem_classes=["panel"], js_on_load=BRIDGE, apply_default_css=False)


def saver() -> gr.HTML:
    """Hands a file, {"name", "text"}, to the browser to keep."""
    return gr.HTML(None, elem_id="saver", html_template="", js_on_load=SAVER, apply_default_css=False)


def teller() -> gr.HTML:
    """Its value is a count: when it grows, the browser sends an 'input'. So one event can call for another."""
    return gr.HTML("0", elem_id="teller", html_template="", js_on_load=TELLER, apply_default_css=False)
