"""Texts of other programmes that are not read are named for what they are, with what to do, and never misread."""

import pytest

from insiren.data.files import read
from insiren.errors import DataError

SPICE = "# scan = 2\n# latticeconstants = 5,5,13,90,90,120\n# col_headers = \n#   Pt.   h   k   l   e\n1 0 0 1 2\n"
ILL = "INSTR: IN8\nFILE_: 1\nCOMND: sc qh 1 0 0 0\nPOSQE: QH=1, QK=0\nPARAM: DM=3.35\nDATA_:\n PNT CNTS QH\n 1 5 0.1\n"
ICP = "'x.ng5' 'Jan 1 2000' 'Q' 250000. 1 'NEUT' 87 'RAW'\n  Filename  Date  Scan  Mon  Prf  Base\nscan\n 99 80\n"
DAVE = "    2    2\n### [H,H,0]\n   -0.8   -0.7\n### E (meV)\n   0.0   1.0   0.0\n### S\n  1 2\n### Errors\n 1 1\n"
TEXTS = {
    "SPICE": SPICE,
    "of the ILL": "RRRR\n 65059 1 0\nILL TAS data\n" + ILL,
    "ASCII format of the ILL": ILL,
    "ICE": "#ICE  0.4.0\n#InstrName BT7\n#Columns QX QY QZ E\n 0 0 1 2\n",
    "ICP": ICP,
    "NICOS": "### NICOS data file, created at 2020-01-01\n#  proposal : x\n1 2 3 4\n",
    r"DAVE or MSlice saved as \.spe": DAVE,
    r"DAVE saved as \.xyie": "  2   2\n \n  -0.8\n  -0.7\n \n 1.0\n 2.0\n \n 1 2\n 3 4\n \n 1 1\n 1 1\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_of_another_programme_is_named(tmp_path, name):
    (tmp_path / "file.txt").write_text(TEXTS[name])
    with pytest.raises(DataError, match=f"{name}.* which insiren does not read yet.*(counts,norm|--columns)"):
        read(tmp_path / "file.txt", Ei=10.0)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").rename(tmp_path / "empty" / "file.txt")
    with pytest.raises(DataError, match=f"It is a folder of file.txt.*{name}"):
        read(tmp_path / "empty")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("nitio3-ctax/CG4C_exp0424_scan0030.dat", "SPICE"),
        ("neutronpy/scan0001.dat", "SPICE"),
        ("neutronpy/scan0003.ng5", "ICP"),
        ("neutronpy/scan0004.bt7", "ICE"),
        ("mjolnir/065059", "of the ILL"),
        ("neutronpy/test_filetypes.spe", r"\.spe"),
        ("neutronpy/test_filetypes.xyie", r"\.xyie"),
    ],
)
def test_a_file_that_was_published_is_named(shared, file, name):
    with pytest.raises(DataError, match=f"{name}.*does not read yet"):
        read(shared / "data" / "public" / file)
