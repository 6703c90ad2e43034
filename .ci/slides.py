# Configuration of nbconvert: slides from lessons. In a clone: jupyter nbconvert --config .ci/slides.py nbs/lessons/1_baseline.ipynb
# No tags: a heading ## starts a column of slides, each further cell of prose a slide below, and code follows the prose.
import re

from nbconvert.preprocessors import Preprocessor


class ByHeadings(Preprocessor):
    def preprocess(self, nb, resources):
        cells = []
        for cell in nb.cells:
            if cell.cell_type == 'code':
                cell.source = re.sub(r'^#\|.*\n', '', cell.source, flags=re.M)  # what is meant for nbdev
                after_code = cells and cells[-1].cell_type == 'code' and cells[-1].outputs
                if after_code:  # a second table or picture has a slide of its own
                    cell.metadata.slideshow = type(cell)(slide_type='subslide')
                cells.append(cell)
                continue
            for part in filter(str.strip, re.split(r'^(?=#{1,3} )', cell.source, flags=re.M)):
                kind = 'slide' if re.match('##? ', part) else 'subslide'
                cells.append(type(cell)(cell, source=part, metadata=type(cell)(slideshow=type(cell)(slide_type=kind))))
        nb.cells = cells
        return nb, resources


c = get_config()  # noqa: F821, given by nbconvert
c.NbConvertApp.export_format = 'slides'
c.FilesWriter.build_directory = 'nbs/slides'  # from where pictures in ../images are found
c.SlidesExporter.preprocessors = [ByHeadings]
c.SlidesExporter.exclude_input_prompt = c.SlidesExporter.exclude_output_prompt = True
c.SlidesExporter.reveal_width = '1100'  # pixels; the slide grows with the screen
c.SlidesExporter.reveal_number = 'c/t'
c.SlidesExporter.reveal_scroll = True  # a picture below its question may be taller than the screen
c.RegexRemovePreprocessor.patterns = [r'#\| ?hide']
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_input_tags = {'remove_input'}
