"""The look of Gradio's own components; everything else is in assets/*.css, in the same colours."""

from __future__ import annotations

from gradio.themes.base import Base
from gradio.themes.utils import colors, fonts, sizes

TEAL = colors.Color(
    name="unedit-teal",
    c50="#eef6f5",
    c100="#d8eceb",
    c200="#b0d9d6",
    c300="#84c4c0",
    c400="#4cc2b0",
    c500="#1d8785",
    c600="#127475",
    c700="#0e5f61",
    c800="#0c4b4d",
    c900="#0a3a3c",
    c950="#062526",
)
INK = colors.Color(
    name="unedit-ink",
    c50="#faf8f4",
    c100="#f3f0ea",
    c200="#e4dfd5",
    c300="#cbc5b9",
    c400="#9b9a97",
    c500="#6d7480",
    c600="#545c69",
    c700="#343b47",
    c800="#1d222b",
    c900="#171b22",
    c950="#101319",
)


class UneditTheme(Base):
    """Warm paper, dark ink, one teal accent. Fonts come with Gradio, so nothing is fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__(
            primary_hue=TEAL,
            secondary_hue=TEAL,
            neutral_hue=INK,
            spacing_size=sizes.spacing_md,
            radius_size=sizes.radius_md,
            text_size=sizes.text_lg,
            font=(
                # Of Gradio's files only some hold the whole alphabet; these two weights do, SemiBold doesn't.
                fonts.LocalFont("IBM Plex Sans", weights=(400, 700)),
                "ui-sans-serif",
                "system-ui",
                "sans-serif",
            ),
            font_mono=(fonts.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
        )
        self.name = "unedit"
        super().set(
            body_background_fill="*neutral_50",
            body_background_fill_dark="*neutral_950",
            body_text_color="#1c2128",
            body_text_color_dark="#edebe6",
            body_text_color_subdued="*neutral_600",
            body_text_color_subdued_dark="#a9b0bc",
            background_fill_primary="white",
            background_fill_primary_dark="*neutral_900",
            block_background_fill="white",
            block_background_fill_dark="*neutral_900",
            block_border_color="*neutral_200",
            block_border_color_dark="#2f3642",
            block_shadow="none",
            block_label_text_color="*neutral_600",
            block_label_text_color_dark="#a9b0bc",
            button_primary_background_fill="*primary_600",
            button_primary_background_fill_hover="*primary_700",
            button_primary_background_fill_dark="*primary_400",
            button_primary_text_color="white",
            button_primary_text_color_dark="#06201f",
            link_text_color="*primary_600",
            link_text_color_dark="*primary_400",
            loader_color="*primary_600",
        )
