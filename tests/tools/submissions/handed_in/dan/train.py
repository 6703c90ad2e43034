from src.model import Net

print(Net())
