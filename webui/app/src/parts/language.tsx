import { catalogues, language, useText } from "../i18n";
import type { Language } from "../types";
import { SelectField } from "./field";

/** LanguageField changes the page's language at once; kept is told, to keep it in the person's settings. */
export function LanguageField({ kept }: { kept?: (l: Language) => void }) {
  const t = useText();
  const options = Object.entries(catalogues).map(([value, c]) => ({ value, label: c.language }));
  return (
    <SelectField
      label={language.value === "en" ? t.setup.language : `${t.setup.language} (Language)`}
      at="/language"
      value={language.value}
      options={options}
      testid="language"
      set={(l) => {
        language.value = l as Language;
        kept?.(l as Language);
      }}
    />
  );
}
