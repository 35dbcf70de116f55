"""The paper's regression results: Table 1, Table 2, Figure 4 and what belongs to them.

One file a part: the runs that it needs and the text and figures that it makes of them.
"""
