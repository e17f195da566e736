"""A trained model made smaller by what speech shows of it, without training it again."""
