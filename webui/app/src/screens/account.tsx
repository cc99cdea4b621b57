import { useText } from "../i18n";
import { LanguageField } from "../parts/language";
import { OwnPassword } from "../parts/own-password";
import { Page } from "../parts/page";
import { tell } from "../parts/toast";
import { changeLanguage, leave, user } from "../session";
import { callText } from "../words";

export function Account() {
  const t = useText();
  const fail = (error: unknown): void => tell(callText(error, t, true), { failed: true });
  return (
    <Page title={t.account.title}>
      <section class="card form-step">
        <p>
          {t.account.signedIn(user.value?.name ?? "")}
          {user.value && <span class="muted"> ({t.roles[user.value.role]})</span>}
        </p>
        <LanguageField kept={(l) => void changeLanguage(l).catch(() => tell(t.account.notKept, { failed: true }))} />
        <button type="button" class="button" data-testid="logout" onClick={() => void leave().catch(fail)}>
          {t.account.logout}
        </button>
      </section>
      <OwnPassword />
    </Page>
  );
}
