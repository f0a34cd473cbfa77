"""How well predictions met what happened: statistics as pure functions over arrays.

Every one takes weights, so that a bootstrap over accounts is the same formula with other weights, and every one is
aware of ties: rows of equal score are one step, whatever their order in the file.
"""
