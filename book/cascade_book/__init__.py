"""What only the book needs: explorers, whose sliders move without a kernel, and the style of its figures."""

from .explorers import explorer, explorer2
from .live import Axis, LiveFigure
from .style import tangent, use_style

__all__ = ["Axis", "LiveFigure", "explorer", "explorer2", "tangent", "use_style"]
