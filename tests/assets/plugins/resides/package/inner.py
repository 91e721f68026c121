import helper

from . import sibling

NAME = f"{helper.NAME} inner, {sibling.NAME}"
