// A button that asks for a file.
interface Props {
  label: string;
  accept: string;
  testid: string;
  chosen: (file: File) => void;
}

export function FileButton(p: Props) {
  return (
    <label class="button file">
      {p.label}
      <input
        type="file"
        class="hidden"
        accept={p.accept}
        data-testid={p.testid}
        onChange={(e) => {
          const file = e.currentTarget.files?.[0];
          e.currentTarget.value = ""; // the same file again is a choice too
          if (file) p.chosen(file);
        }}
      />
    </label>
  );
}
