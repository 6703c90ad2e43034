# Configuration of nbconvert: writes README.md from nbs/index.ipynb. From the project's root: python -m nbconvert --config .ci/readme.py
c = get_config()  # noqa: F821, given by nbconvert
c.NbConvertApp.notebooks = ['nbs/index.ipynb']
c.NbConvertApp.export_format = 'markdown'
c.NbConvertApp.output_base = 'README'
c.NbConvertApp.output_files_dir = 'nbs/images'
c.ExtractOutputPreprocessor.output_filename_template = 'story{extension}'  # there is one picture
c.FilesWriter.build_directory = '.'
c.TagRemovePreprocessor.enabled = True
c.TagRemovePreprocessor.remove_input_tags = {'remove_input'}  # the tables, without the code that makes them
c.RegexRemovePreprocessor.patterns = [r'#\| ?hide']
